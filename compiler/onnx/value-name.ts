/** The name of a value: what a node reads or writes, an input, an output or an initializer. `''` is "not given". */
export type ValueName = string;
