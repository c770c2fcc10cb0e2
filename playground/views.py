"""The playground: one page at `/` that uses the service through its public API only."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import get_script_prefix


def playground(request: HttpRequest) -> HttpResponse:
    """Return the page. It is the same for every caller: its scripts ask the API for everything else."""
    return render(request, "playground/index.html", {"base": get_script_prefix().rstrip("/")})
