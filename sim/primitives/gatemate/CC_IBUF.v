// GateMate's input pin.

module CC_IBUF (input I, output Y);
  assign Y = I;
endmodule
