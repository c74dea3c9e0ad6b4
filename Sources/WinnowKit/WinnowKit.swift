// The facade for programs that embed Winnow: one import for loading, generating, measuring, pruning and saving.
@_exported import WinnowCompress
@_exported import WinnowCore
@_exported import WinnowData
@_exported import WinnowEval
@_exported import WinnowGenerate
@_exported import WinnowIO
@_exported import WinnowJSON
@_exported import WinnowModels
@_exported import WinnowText
@_exported import WinnowWeights
