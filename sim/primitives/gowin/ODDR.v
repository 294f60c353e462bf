// Gowin's registers at a pin for two bits a cycle, with the delays of Gowin's own model for
// simulation: of bits that are taken at a rising edge, D0 comes while the clock is high and D1 while
// it is low, from the third edge on. TX goes the same way to the pin's driver.

module ODDR #(parameter TXCLK_POL = 0) (input CLK, D0, D1, TX, output Q0, output Q1);
  generate
    if (TXCLK_POL != 0)
      $fatal(1, "ODDR: this model changes Q1 with the rising edge only");
  endgenerate

  reg [1:0] high = 2'b00, driver = 2'b00;
  reg [2:0] low = 3'b000;
  reg first = 1'b0, half = 1'b0, off = 1'b0;
  always @(posedge CLK) begin
    high <= {high[0], D0};
    low <= {low[1:0], D1};
    driver <= {driver[0], TX};
    off <= half;
  end
  always @(negedge CLK) begin
    first <= high[1];
    half <= driver[1];
  end
  assign Q0 = CLK ? first : low[2];
  assign Q1 = off;
endmodule
