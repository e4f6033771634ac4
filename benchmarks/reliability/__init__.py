"""Long tests of what must hold under kills, full disks, lost replies and budgets."""
