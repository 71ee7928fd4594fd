"""RepVideo: text to video, steadied by features shared between neighbouring layers."""
