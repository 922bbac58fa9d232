/**
 * A ticket from its creation to its deletion, with types generated from the schema.
 *
 *     npx openapi-typescript openapi.yaml --output conversations.ts
 *     npx tsc && API=http://127.0.0.1:8000 KEY=cvk_… node example.js
 */
import assert from "node:assert/strict";
import process from "node:process";

import createClient from "openapi-fetch";

import type { components, paths } from "./conversations.js";

type Ticket = components["schemas"]["Ticket"];

const { API = "http://127.0.0.1:8000", KEY = "" } = process.env;
const client = createClient<paths>({ baseUrl: API, headers: { Authorization: `Bearer ${KEY}` } });

const TICKETS = "/api/projects/{project_id}/conversations/tickets";
const ONE_TICKET = "/api/projects/{project_id}/conversations/tickets/{id}";
const UNREAD_COUNT = "/api/projects/{project_id}/conversations/tickets/unread_count";
// The project that the key belongs to.
const project = { project_id: "@current" };

async function create(): Promise<Ticket> {
  const { data, error } = await client.POST(TICKETS, {
    params: { path: project },
    body: { distinct_id: "user_1", message: "Where is my order?", tags: ["Delivery"], priority: null },
  });
  // Either there are data, or an error that says what is wrong.
  if (error) throw new Error(error.detail);
  assert.equal(data.status, "new");
  assert.equal(data.priority, null);
  assert.deepEqual(data.tags, ["delivery"]);
  assert.equal(await unread(), 1);
  return data;
}

async function find(ticket: Ticket): Promise<void> {
  const all = await client.GET(TICKETS, { params: { path: project } });
  assert.deepEqual(all.data?.results.map(({ id }) => id), [ticket.id]);

  const waiting = await client.GET(TICKETS, {
    params: {
      path: project,
      query: {
        status: ["new", "open"],
        tags: ["delivery", "returns"],
        unread: true,
        search: "order",
        order_by: "-created_at",
        limit: 10,
      },
    },
  });
  assert.deepEqual(waiting.data?.results.map((found) => found.ticket_number), [ticket.ticket_number]);

  const done = await client.GET(TICKETS, { params: { path: project, query: { status: ["resolved"] } } });
  assert.equal(done.data?.count, 0);
}

async function answer(ticket: Ticket): Promise<void> {
  const path = { ...project, id: ticket.id };
  // Reading a ticket marks it as read.
  const read = await client.GET(ONE_TICKET, { params: { path } });
  assert.equal(read.data?.last_message_text, "Where is my order?");
  assert.equal(await unread(), 0);

  const reply = await client.POST(`${ONE_TICKET}/reply`, {
    params: { path },
    body: { message: "It left us this morning." },
  });
  assert.equal(reply.data?.author_type, "support");
}

async function change(ticket: Ticket): Promise<void> {
  const { data } = await client.PATCH(ONE_TICKET, {
    params: { path: { ...project, id: ticket.id } },
    body: { status: "resolved", priority: "high" },
  });
  assert.equal(data?.priority, "high");
  assert.notEqual(data?.resolved_at, null);
  // What a change leaves out stays as it is.
  assert.deepEqual(data?.tags, ["delivery"]);
}

async function remove(ticket: Ticket): Promise<void> {
  const path = { ...project, id: ticket.id };
  const { response } = await client.DELETE(ONE_TICKET, { params: { path } });
  assert.equal(response.status, 204);

  const gone = await client.GET(ONE_TICKET, { params: { path } });
  assert.equal(gone.error?.type, "invalid_request");
  assert.equal(gone.error?.code, "not_found");
}

async function unread(): Promise<number> {
  const { data, error } = await client.GET(UNREAD_COUNT, { params: { path: project } });
  if (error) throw new Error(error.detail);
  return data.count;
}

const ticket = await create();
await find(ticket);
await answer(ticket);
await change(ticket);
await remove(ticket);
