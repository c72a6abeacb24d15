"""`exports-admin`: operating a stack. Each command is a module here, and stands in :mod:`exports_admin.commands`."""
