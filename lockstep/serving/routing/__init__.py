"""Who answers a request and who scores along: challengers and shadows beside the champion."""
