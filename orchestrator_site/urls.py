"""The URLs of the service."""

from django.contrib import admin
from django.urls import include, path

from orchestrator_site.api import api
from playground.views import playground
from tools.mcp_oauth import pages

handler400 = "console.error_pages.bad_request"
handler403 = "console.error_pages.permission_denied"
handler404 = "console.error_pages.not_found"
handler500 = "console.error_pages.server_error"
urlpatterns = [
    path("admin/", admin.site.urls),
    path("oauth/", include(pages.urls)),
    path("", playground),
    path("", api.urls),
]
