/** The package has no types of its own. */
declare module 'node-gyp-build' {
  /** Loads the addon that fits this machine from a package's directory. Throws when there is none. */
  function load(packageDirectory: string): unknown
  export = load
}
