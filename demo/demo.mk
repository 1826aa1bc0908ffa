# targets are added with the demo itself
