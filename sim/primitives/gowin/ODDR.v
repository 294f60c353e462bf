// Gowin's registers at a pin for two bits a cycle, from Gowin's guide to programmable IO (UG289). All
// is taken at a rising edge. D0 comes while the clock is high, D1 while it is low, and TX, for the
// pin's driver, for the whole cycle.

module ODDR #(parameter TXCLK_POL = 0) (input CLK, D0, D1, TX, output Q0, output reg Q1);
  generate
    if (TXCLK_POL != 0)
      $fatal(1, "ODDR: this model changes Q1 with the rising edge only");
  endgenerate

  reg first = 1'b0, second = 1'b0;
  initial Q1 = 1'b0;
  always @(posedge CLK) begin
    first <= D0;
    second <= D1;
    Q1 <= TX;
  end
  assign Q0 = CLK ? first : second;
endmodule
