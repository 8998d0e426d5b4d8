"""The same cells on our Python kernel and on stock ipykernel must show the same; what may differ is listed with its reason."""
