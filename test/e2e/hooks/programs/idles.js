// Does nothing until it is killed.
setInterval(() => undefined, 1000)
