"""From gateware to bitstream: synthesis, floorplans, place and route, reports."""
