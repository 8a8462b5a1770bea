"""A site's configuration: YAML files, checked against their schemas, as values."""
