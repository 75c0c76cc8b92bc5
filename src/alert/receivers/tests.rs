//! Delivery as a whole, with servers of the tests' own on loopback.
