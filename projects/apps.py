from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "projects"

    def ready(self) -> None:
        from config import checks  # noqa: F401  (registers the system checks)
        from projects import signals  # noqa: F401  (connects the receivers)
        from projects.capture import jobs  # noqa: F401  (for the worker)
