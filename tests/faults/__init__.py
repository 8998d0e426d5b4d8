"""What faults and bad luck do: malformed input, dying processes, load, and every order of events."""
