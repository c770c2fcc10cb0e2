"""The URLs of the service."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from orchestrator_site.api import api

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name=f"{api.urls_namespace}:openapi-view")),
    path("", api.urls),
]
