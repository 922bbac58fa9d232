from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "conversations"

    def ready(self) -> None:
        from conversations import jobs, signals  # noqa: F401  (connects the receivers)
        from conversations.widget import jobs as widget_jobs  # noqa: F401  (for the worker)
        from rest import leases

        leases.repeat_with(jobs.forget_later)
