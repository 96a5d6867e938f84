"""An index of Python packages that pushes what a project needs: see app.py."""
