    // Memory outside behind the master port: it answers each access by itself, with delays.
    localparam MODEL_BYTES = {{ model_bytes }};
    localparam BEAT_BYTES = {{ data_bits // 8 }};
    reg [7:0] model [0:MODEL_BYTES-1];

    // A slave that ends each access by itself does not look at the tags of bursts.
    wire unused = &{m_wb_cti, m_wb_bte};

    initial begin : accesses
        integer number, from;
        reg [{{ address_bits - 1 }}:0] offset;
        m_wb_ack = 0;
        m_wb_err = 0;
        m_wb_dat_r = 0;
        forever begin
            @(negedge clk);
            m_wb_ack = 0;
            if (m_wb_cyc && m_wb_stb && $urandom_range(3) != 0) begin
                offset = {m_wb_adr, {{ size_bits }}'d0} - OUTSIDE_BASE;
                if (offset >= MODEL_BYTES)
                    fail("an access of the master port is past the memory outside");
                from = offset[31:0];
                for (number = 0; number < BEAT_BYTES; number = number + 1)
                    if (!m_wb_we) m_wb_dat_r[8 * number +: 8] = model[from + number];
                    else if (m_wb_sel[number])
                        model[from + number] = m_wb_dat_w[8 * number +: 8];
                m_wb_ack = 1;
            end
        end
    end

{% include "model_access.sv" %}
