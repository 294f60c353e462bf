// {{ name }} on a Digilent Arty A7: the self-test, with its result on the LEDs.

module arty_a7 (
    input wire clk100,
    input wire ck_rst,      // the red button, 0 while it is pressed
    output wire [3:0] led   // from LD4: alive, finished, passed, failed
);

    // 50 MHz, which is what the constraints ask for
    reg half;
    initial half = 0;
    always @(posedge clk100) half <= !half;
    wire clk;
    BUFG buffer (.I(half), .O(clk));

    reg [3:0] reset;
    initial reset = 4'hF;
    always @(posedge clk) reset <= {reset[2:0], !ck_rst};

    reg [24:0] count;
    initial count = 0;
    always @(posedge clk) count <= count + 1'b1;

    wire finished, passed;
    {{ name }}_selftest selftest (.clk(clk), .rst(reset[3]), .finished(finished), .passed(passed));

    assign led = {finished && !passed, passed, finished, count[24]};

endmodule
