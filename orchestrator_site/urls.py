"""The URLs of the service."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from orchestrator_site.api import api

handler400 = "console.error_pages.bad_request"
handler403 = "console.error_pages.permission_denied"
handler404 = "console.error_pages.not_found"
handler500 = "console.error_pages.server_error"
urlpatterns = [
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name=f"{api.urls_namespace}:openapi-view")),
    path("", api.urls),
]
