"""Rasters with a place on Earth: enhanced, matched and scored, in windows of bounded memory."""
