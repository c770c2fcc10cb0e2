from django.apps import AppConfig


class SpeechConfig(AppConfig):
    name = "speech"

    def ready(self) -> None:
        from speech import checks  # noqa: F401, PLC0415 - checks register themselves, once the apps are there
