// Reports print numbers with `Format`; errors of the libraries below print sizes with the same one.
@_exported import WinnowNumbers
