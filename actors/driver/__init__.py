"""Drivers: those who call get_user_pages or pin_user_pages, and who must give the pages back."""

from actors.driver.driver import Driver
from actors.driver.vfio import Vfio

__all__ = ["Driver", "Vfio"]
