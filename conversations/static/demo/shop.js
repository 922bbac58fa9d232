// What a shop does with posthog-js: name the service and the project, and say who has logged in.
const { dataset, nonce } = document.currentScript;
posthog.init(dataset.token, {
  api_host: location.origin,
  // The widget's colours come as a style element, which this page's policy allows by its nonce alone.
  prepare_external_dependency_stylesheet: (style) => Object.assign(style, { nonce }),
});

const query = new URLSearchParams(location.search);
const user = query.get("user");
if (user) {
  posthog.identify(user, { name: user, email: `${user}@example.com` });
  document.getElementById("customer").textContent = `You are ${user}.`;
  Object.assign(document.getElementById("account"), { href: "?user=", textContent: "Log out" });
} else if (query.has("user")) {
  posthog.reset();
}
