"""Deployments of container images to Google Cloud Run."""
