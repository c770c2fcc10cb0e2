"""Its one path."""

from django.urls import path

from benchmarks.peers.plain_django.views import stream

urlpatterns = [path("chat/stream", stream)]
