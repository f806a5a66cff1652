"""Drivers: those who call get_user_pages or pin_user_pages, and who must give the pages back."""

from gupsim.actors.driver.driver import Driver
from gupsim.actors.driver.vfio import Vfio

__all__ = ["Driver", "Vfio"]
