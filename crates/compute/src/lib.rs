//! The operations of the model on the CPU, with a plain form that defines each
