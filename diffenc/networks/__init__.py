"""U-Nets and their layers, with tangents written out."""
