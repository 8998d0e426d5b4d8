/**
 * The outer of the two frames. It runs only this, and holds the inner one, which runs the user's code.
 *
 * Its policy says `frame-src 'none'`: so the inner frame cannot go to an address, which would carry data away.
 */
export {};
