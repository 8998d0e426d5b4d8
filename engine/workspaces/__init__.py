"""The directories of contexts: made, copied, walked by descriptor, and watched for changes."""
