"""What every dialect shares of HTTP: requests, answers, errors, streams, downloads and the API document."""
