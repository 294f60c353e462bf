// GateMate's output pin; one that does not drive is pulled up.

module CC_TOBUF (input A, T, output O);
  assign O = A | T;
endmodule
