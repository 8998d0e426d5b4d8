"""The rendering kit in Chromium: a page of another origin than the server, as a chat UI is."""
