"""The words of HTTP, whatever the version: fields, headers, content, URLs, priorities, links."""
