"""The dashboard's database: tables, connection, migrations."""
