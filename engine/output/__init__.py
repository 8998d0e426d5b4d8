"""What a cell prints and shows: messages in, events and a result out. Pure."""
