"""The routes under /api/projects/{project_id}/persons."""

from rest_framework.routers import SimpleRouter

from conversations.persons.views import PersonViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("persons", PersonViewSet, basename="person")

urlpatterns = router.urls
