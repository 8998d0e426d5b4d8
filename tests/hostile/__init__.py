"""What an attacker, a fault or bad luck does: malformed input, dying processes, load, and every order of events."""
