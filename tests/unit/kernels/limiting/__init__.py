"""Limits of contexts: rules, words, control groups in a scripted file system, counts and watchdogs."""
