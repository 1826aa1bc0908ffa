# targets are added with the bench itself
