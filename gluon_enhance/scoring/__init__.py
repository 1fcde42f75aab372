"""The metrics of photos by name, with the nets and models that some of them need."""
